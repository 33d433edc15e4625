"""What is believed about labels that we were given."""
