/** Whether a message field is there: the loader gives null for some that are not, undefined for others. */
export function isSet<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}
