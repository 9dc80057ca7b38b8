import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import path from 'node:path';

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };

/** The files of one folder, as any web server gives them. */
export async function servePage(folder: string): Promise<{ server: Server; origin: string }> {
  const server = createServer((request, response) => {
    const name = path.basename((request.url ?? '/').split('?')[0] ?? '') || 'index.html';
    try {
      const body = readFileSync(path.join(folder, name));
      const type = TYPES[path.extname(name)] ?? 'application/octet-stream';
      response.writeHead(200, { 'content-type': type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { server, origin: `http://127.0.0.1:${String(port)}` };
}
