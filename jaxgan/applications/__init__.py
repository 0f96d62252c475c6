"""What people do with trained runs: draw, translate, compare and show."""
