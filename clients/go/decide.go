package cabstand

// What happened before an error.
type phase int

const (
	// No hoster was found.
	placing phase = iota
	// A hoster has the turn but has sent no record of the session.
	opening
	// A hoster that has the session refused a later turn before its first record.
	again
	// Records of the turn have been delivered.
	streaming
)

type action int

const (
	// The caller gets the error.
	actThrow action = iota
	// Try another hoster.
	actElsewhere
	// The same again after a pause.
	actWait
	// Go on where the records stopped; `attach` if the hoster may still have the session.
	actResume
)

type decision struct {
	action action
	attach bool
}

// decide says what becomes of an error: nothing but the table of reasons decides it.
func decide(err *Error, at phase, attempts, most int, durable bool) decision {
	// Records are out: starting again would send them twice.
	if at == streaming {
		if durable {
			return decideResume(err)
		}
		return decision{}
	}
	if at == again && durable {
		// A hoster that wants to go takes no turn later either; nor does one that lost its model.
		forGood := err.Reason == ReasonDraining || err.Reason == ReasonModelFailed
		if err.Class != ClassOverload || forGood {
			return decideResume(err)
		}
	}
	if attempts >= most {
		return decision{}
	}
	elsewhere := at == opening
	switch err.Class {
	case ClassCaller:
		elsewhere = elsewhere && (err.Reason == ReasonModelUnknown || overtaken(err))
	case ClassAuth:
		elsewhere = elsewhere && trustEnded(err)
	case ClassOverload:
		if !elsewhere {
			return decision{action: actWait}
		}
	case ClassNode:
		// No router answers: one may come back.
		if at == placing {
			return decision{action: actWait}
		}
	case ClassSession:
	default:
		elsewhere = false
	}
	if elsewhere {
		return decision{action: actElsewhere}
	}
	return decision{}
}

// goneAtHoster: the session is lost there, but not to its consumer.
func goneAtHoster(err *Error) bool {
	switch err.Reason {
	case ReasonTurnOutOfOrder, ReasonPositionInvalid, ReasonSessionUnknown, ReasonSessionEvicted,
		ReasonSessionLost, ReasonIncarnationUnknown:
		return true
	case ReasonSessionEnded:
		// Whoever closed it meant it; what the hoster ended for its own reasons goes on.
		switch err.Metadata["end_reason"] {
		case "timed_out", "evicted", "migrated", "lost":
			return true
		}
	}
	return false
}

// overtaken: a call of this consumer that it had given up came late and took the place of a newer one.
func overtaken(err *Error) bool {
	return err.Reason == ReasonCancelled && err.Metadata["replaced_by"] == "same_consumer"
}

// trustEnded: credentials of an open call are not good any more. The node is well.
func trustEnded(err *Error) bool {
	return err.Reason == ReasonCredentialsExpired && err.Metadata["open_call"] == "ended"
}

// commandsWait: the hoster of a session has as many commands of it as may wait, perhaps of whoever had the session
// before, and takes others when its reader has read on. The session is well, and nowhere else.
func commandsWait(err *Error) bool {
	return err.Reason == ReasonRateLimited && err.Metadata["limited_by"] == "commands_waiting"
}

func decideResume(err *Error) decision {
	if err.Reason == ReasonSessionLost {
		switch err.Metadata["problem"] {
		case "no_survival", "not_deterministic":
			return decision{}
		}
	}
	if goneAtHoster(err) {
		return decision{action: actResume}
	}
	if overtaken(err) || trustEnded(err) || commandsWait(err) {
		return decision{action: actResume, attach: true}
	}
	switch err.Class {
	case ClassSession, ClassOverload:
		return decision{action: actResume}
	case ClassNode:
		// The engine's death took the session with it; anything else may be the connection only.
		gone := err.Reason == ReasonEngineCrashed || err.Reason == ReasonEngineStalled
		return decision{action: actResume, attach: !gone}
	}
	return decision{}
}

// isFinal: no other hoster would say anything else.
func isFinal(err *Error) bool {
	if overtaken(err) {
		return false
	}
	switch err.Reason {
	case ReasonModelUnknown, ReasonSessionExists, ReasonSessionEnded, ReasonNodeUnknown:
		return false
	case ReasonSessionLost, ReasonCheckpointInvalid:
		switch err.Metadata["problem"] {
		case "other_weights", "unknown_key", "expired_key", "other_version", "code_changed", "runtime_differs":
			return false
		}
		return true
	}
	return err.Class == ClassCaller || err.Class == ClassAuth || err.Class == ClassFatal
}
