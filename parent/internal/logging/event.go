package logging

import "go.uber.org/zap"

// Event names a change of state in the field "event" of its log line. The names stay as they are from release to release; messages may
// change.
type Event string

// What can happen; docs/parent.md tells operators what each means.
const (
	Starting             Event = "starting"
	Started              Event = "started"
	EnclaveCame          Event = "enclave_came"
	EnclaveLost          Event = "enclave_lost"
	ConfigurationLoaded  Event = "configuration_loaded"
	ConfigurationRefused Event = "configuration_refused"
	RoutesChanged        Event = "routes_changed"
	TaskFailed           Event = "task_failed"
	TaskHealed           Event = "task_healed"
	TaskGivenUp          Event = "task_given_up"
	LogLinesDropped      Event = "log_lines_dropped"
	LogLinesLost         Event = "log_lines_lost"
	FewDescriptors       Event = "few_file_descriptors"
	DrainBegun           Event = "drain_begun"
	DrainOver            Event = "drain_over"
)

// Field is the field of an event's log line.
func (e Event) Field() zap.Field { return zap.String("event", string(e)) }
