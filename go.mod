module m2embed

go 1.27
