package linear

import "syscall"

// noReserve keeps a reservation out of the system's commit limit.
const noReserve = syscall.MAP_NORESERVE
