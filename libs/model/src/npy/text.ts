/** NumPy's fixed-width text: each element is `width` code points of 4 bytes, filled up with zeros. */
const CODE_POINT = 4;

/** The width of a type such as `<U5`, or undefined for other types. */
export function textWidth(descr: string): number | undefined {
  const digits = /^<U([1-9]\d{0,8})$/.exec(descr)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function textBytes(width: number): number {
  return width * CODE_POINT;
}

/** Undefined where the bytes are no text. `data` holds whole elements. */
export function decodeText(data: Buffer, width: number): string[] | undefined {
  const strings: string[] = [];
  for (let start = 0; start < data.length; start += textBytes(width)) {
    let end = start + textBytes(width);
    while (end > start && data.readUInt32LE(end - CODE_POINT) === 0) end -= CODE_POINT;
    let text = '';
    for (let at = start; at < end; at += CODE_POINT) {
      const code = data.readUInt32LE(at);
      // Halves of surrogate pairs are no characters, and would not survive UTF-8.
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
      text += String.fromCodePoint(code);
    }
    strings.push(text);
  }
  return strings;
}
