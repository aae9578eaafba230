package api

import "net/http"

// Router takes routes, like an http.ServeMux, of which it is one half.
type Router interface {
	// HandleFunc adds a route, as http.ServeMux does: pattern is a method, a space and a path.
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}
