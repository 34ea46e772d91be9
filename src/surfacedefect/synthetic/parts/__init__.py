"""Things on and beside a car panel that are neither paint nor damage: gaps, handles, lamps, wheels, the ground."""
