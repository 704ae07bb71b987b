"""One model on many ranks: one file a way of splitting it, put on from outside in one order."""
