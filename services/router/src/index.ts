export { RouterCore, createRouterCore } from './core';
