package core

// Version is the version of m2embed: of the Go packages, the command line, the
// module, the npm packages and the page. ./build.sh version sets it in all of
// them.
const Version = "0.1.0"
