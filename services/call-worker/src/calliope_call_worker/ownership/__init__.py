"""Who owns a call: its journal decides, and keeps its facts until the bus has them."""
