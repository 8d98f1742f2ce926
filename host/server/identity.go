package server

import (
	"crypto/rand"
	"net/http"
	"regexp"
)

// requestID is the header by which a request is known in logs, its client's and
// ours.
const requestID = "X-Request-Id"

var plainID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// identify returns a request's id: the client's, if it is fit for logs, or a new
// one. The response bears it, too.
func identify(w http.ResponseWriter, r *http.Request) string {
	id := r.Header.Get(requestID)
	if !plainID.MatchString(id) {
		id = rand.Text()
	}
	r.Header.Set(requestID, id)
	w.Header().Set(requestID, id)
	return id
}
