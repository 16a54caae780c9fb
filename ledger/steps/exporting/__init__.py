"""The books in other programs' forms, and the moment they are asked for."""
