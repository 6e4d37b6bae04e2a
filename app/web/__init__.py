"""What browsers talk to besides the panel: the guard before everything, signing in, the client area, health."""
