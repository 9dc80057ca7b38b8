const CTRL_C = '\u0003';

/** Calls back at `q`, or at Ctrl-C, which a terminal that gives single keys takes for one. Answers what gives it back. */
export function onQuit(stdin: NodeJS.ReadStream, quit: (key: 'q' | 'ctrl-c') => void): () => void {
  if (!stdin.isTTY) return () => undefined;
  const take = (bytes: Buffer): void => {
    const keys = bytes.toString();
    if (keys.includes(CTRL_C)) quit('ctrl-c');
    else if (/q/i.test(keys)) quit('q');
  };
  stdin.setRawMode(true);
  stdin.on('data', take);
  stdin.resume();
  return () => {
    stdin.off('data', take);
    stdin.pause();
    stdin.setRawMode(false);
  };
}
