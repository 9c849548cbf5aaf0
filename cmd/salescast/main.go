// Command salescast forecasts sales, step by step or in one go.
package main

func main() {}
