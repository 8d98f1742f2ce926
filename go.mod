module m2embed

go 1.27

toolchain go1.27.4
