// Command eval measures the quality of the embedded model.
package main

func main() {}
