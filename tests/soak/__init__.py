"""``make soak``: everything real but Google, under one fault after another, judged at the end."""
