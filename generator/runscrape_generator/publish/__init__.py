"""From text to files that are in force: written whole, checked, reloaded, or put back."""
