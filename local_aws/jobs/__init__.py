"""Jobs as rows and processes: they outlive the server that started them."""
