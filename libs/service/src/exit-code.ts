/** How a service's process ends. */
export const ExitCode = {
  OK: 0,
  /** It failed while starting or running, or was told twice to stop. */
  FAILURE: 1,
  /** The configuration cannot be used. */
  CONFIG: 2,
  /** An address is in use. */
  ADDRESS_IN_USE: 3,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
