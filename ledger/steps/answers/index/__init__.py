"""Indexes of computed epochs: derived from verified files, so that an answer about one need not read about all."""
