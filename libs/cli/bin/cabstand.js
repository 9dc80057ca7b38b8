#!/usr/bin/env node
// There before the first build, so that npm links it when it installs.
require('../dist/main.js');
