//go:build darwin || freebsd

package linear

const noReserve = 0
