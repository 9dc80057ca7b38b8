/** Preloaded into routers: their wall clock is off by CLOCK_SHIFT_MS, like that of another machine. */
const shift = Number(process.env.CLOCK_SHIFT_MS ?? 0);
if (/[\\/]router[\\/]/.test(process.argv[1] ?? '')) {
  const Real = Date;
  const now = () => Real.now() + shift;
  globalThis.Date = class extends Real {
    constructor(...parts) {
      if (parts.length === 0) super(now());
      else super(...parts);
    }
    static now() {
      return now();
    }
  };
}
