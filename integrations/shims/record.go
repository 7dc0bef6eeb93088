// Says how it was called: the path, then each argument in brackets. Ends with the exit code in RECORD_EXIT.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	fmt.Println(os.Args[0])
	for _, argument := range os.Args[1:] {
		fmt.Printf("[%s]\n", argument)
	}
	code, _ := strconv.Atoi(os.Getenv("RECORD_EXIT"))
	os.Exit(code)
}
