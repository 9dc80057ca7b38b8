// What was checked, and what could not be.
const counts = { passed: 0, failed: 0 };
const notKnown = [];

/** `act` throws, or rejects, where something is wrong; what it answers is shown. */
export async function check(name, act) {
  try {
    const note = await act();
    counts.passed += 1;
    console.log(`ok      ${name}${note === undefined ? '' : `: ${note}`}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`FAILED  ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function expect(holds, problem) {
  if (!holds) throw new Error(problem);
}

/** Something is missing on this machine: neither passed nor failed. */
export function cannotTell(what) {
  notKnown.push(what);
}

/** Exit code: 1 where anything failed, 3 where something could not be asked. */
export function close() {
  for (const what of notKnown) console.log(`NOT KNOWN: ${what}`);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  if (counts.failed > 0 || counts.passed === 0) return 1;
  return notKnown.length > 0 ? 3 : 0;
}
