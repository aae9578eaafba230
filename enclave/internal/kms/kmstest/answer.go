package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

const jsonType = "application/x-amz-json-1.1"

// awsError is an error as AWS answers it.
type awsError struct {
	status        int
	code, message string
}

func (e *awsError) Error() string { return e.code + ": " + e.message }

func refusal(status int, code, format string, args ...any) *awsError {
	return &awsError{status, code, fmt.Sprintf(format, args...)}
}

// invalid is what AWS answers to an input that breaks the API's rules.
func invalid(format string, args ...any) *awsError {
	return refusal(http.StatusBadRequest, "ValidationException", format, args...)
}

// garbled is an answer that is none.
type garbled []byte

// writeJSON answers a call of KMS.
func writeJSON(w http.ResponseWriter, requestID string, answer any) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("X-Amzn-Requestid", requestID)
	if raw, ok := answer.(garbled); ok {
		_, _ = w.Write(raw) //nolint:gosec // a constant; nobody is left to tell, as below
		return
	}
	status := http.StatusOK
	if e, ok := answer.(*awsError); ok {
		status = e.status
		answer = struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}{e.code, e.message}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
