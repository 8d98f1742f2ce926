//go:build darwin || freebsd

package engine

const noReserve = 0
