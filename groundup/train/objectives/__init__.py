"""What training wants: scores and a batch in, a sum out."""
