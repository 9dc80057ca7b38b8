// Given to Node in a container of the image: takes pictures of one session, and prints a line for each with its number
// and the hoster that it came from.
const { connect, keyFile } = require('@cabstand/client');

const PICTURES = 900;
const parameters = { fps: 20, width: 8, height: 8 };

async function main() {
  const subnet = connect({
    routers: process.env.CABSTAND_ROUTERS,
    auth: keyFile('/keys/client.key.json', { servers: '/keys/keys.json' }),
    tls: { ca: '/keys/tls/ca.crt' },
  });
  const session = subnet.session({ model: 'plasma' });
  for await (const { index } of session.runProtocolTask('neon', undefined, { parameters })) {
    console.log(JSON.stringify({ index, hoster: session.node?.nodeId }));
    if (index + 1 === PICTURES) break;
  }
  await session.close();
  await subnet.close();
  console.log(JSON.stringify({ end: PICTURES }));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
