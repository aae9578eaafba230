# There is nothing to choose.
