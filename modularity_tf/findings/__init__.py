"""What is found in a network: values that are saved, drawn and applied."""
