// Package mapped maps files into memory where the system can, and reads them
// where it cannot.
package mapped
