"""What is too good to be true in a table of features: columns, rows and figures that know the label. Pure."""
