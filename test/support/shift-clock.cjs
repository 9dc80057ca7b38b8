/** Preloaded into routers, or what CLOCK_SHIFT_OF names: their wall clock is off by CLOCK_SHIFT_MS, like that of another machine. */
const shift = Number(process.env.CLOCK_SHIFT_MS ?? 0);
const shifted = `/${process.env.CLOCK_SHIFT_OF ?? 'router'}/`;
if ((process.argv[1] ?? '').replaceAll('\\', '/').includes(shifted)) {
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
