module m2embed

go 1.27

toolchain go1.27.4

require golang.org/x/text v0.43.0
