/** What can be imported. A name more or less is a decision: change the list here, and docs/client.md. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import * as main from '.';
import * as protocol from './protocol';

const MAIN = `
  connect keyFile token tokenFile RemoteManager SessionManager channelCredentials CabstandError
  arrayOf numbersOf stringTensor tensorFrom tensorOf`;

const MAIN_TYPES = `
  Authorizer Cabstand Chunk ConnectOptions DType GenerateOptions GeneratedToken Generation HosterInfo LiveOptions LiveTurn MessageNotice ModuleNotice
  Reason RemoteManagerOptions RemoteNode Session SessionEvents SessionManagerOptions SessionOptions SessionView
  Tensor TensorInput TurnOptions TurnResult`;

const PROTOCOL = `GrpcProtocol STOP UNNUMBERED WireProtocol encodeHandle findSession placementFor`;

const PROTOCOL_TYPES = `
  Calls ChannelMessage ChannelStart Checkpoint Command ConnectionOptions Conversation EndReason Epoch EventSource
  FramedInput GivenRecord LivePart ModelInputs NoticeEvent OpenFields OpenedEvent Outcome Placement
  PlacementRequest PlacementSource PreparedChannel ProtocolEvent RecordEvent Responses ResumeRequest
  SessionChannel SessionProtocol SessionStatus SessionUpdate Survival Target TurnInput TurnRequest UnaryOptions
  Whereabouts`;

const words = (list: string): string[] => list.trim().split(/\s+/).sort();

/** All names that a module of nothing but exports by name exports, types included. */
function exported(file: string): string[] {
  const text = readFileSync(path.join(__dirname, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022);
  return source.statements
    .flatMap((statement) => {
      if (
        !ts.isExportDeclaration(statement) ||
        statement.exportClause === undefined ||
        !ts.isNamedExports(statement.exportClause)
      )
        throw new Error(`${file}: not an export by name: ${statement.getText(source)}`);
      return statement.exportClause.elements.map(({ name }) => name.text);
    })
    .sort();
}

test.each([
  ['the main entry', 'index.ts', main, MAIN, MAIN_TYPES],
  ['@cabstand/client/protocol', 'protocol/index.ts', protocol, PROTOCOL, PROTOCOL_TYPES],
])('%s has these names', (_what, file, values, names, types) => {
  expect(Object.keys(values).sort()).toEqual(words(names));
  expect(exported(file)).toEqual(words(`${names} ${types}`));
});

test('the main entry stays small', () => {
  expect(exported('index.ts').length).toBeLessThanOrEqual(38);
});
