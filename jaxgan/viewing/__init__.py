"""Pictures of data and samples."""
