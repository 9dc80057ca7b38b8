/** Gauges of a hoster that count sessions, or what is kept for them: 0 once there are none. */
export const SESSION_GAUGES = [
  'cabstand_open_sessions',
  'cabstand_sessions',
  'cabstand_idle_sessions',
  'cabstand_held_bytes',
  'cabstand_journal_records',
  'cabstand_journal_bytes',
  'cabstand_credit_records',
  'cabstand_queue_depth',
  'cabstand_engine_sequences',
  'cabstand_engine_state_bytes',
] as const;
