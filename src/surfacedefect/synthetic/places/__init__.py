"""What a car panel mirrors: skies, streets, halls, studios."""
