"""Known truth on other people's ground: what others have published."""
