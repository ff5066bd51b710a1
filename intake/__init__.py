"""What strangers write, made fit to be read and kept. Pure: values in, values out; everybody may import it."""
