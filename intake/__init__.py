"""What strangers write, made fit to be read, kept and shown. Pure: values in, values out; everybody may import it."""
