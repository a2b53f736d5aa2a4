// JavaScript's client: objects, an informer that follows what others do, and a command in a container. Ends with 0 and
// `all done` when all is right. Called with the namespace and the image of a shell.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';

import * as k8s from '@kubernetes/client-node';

const [namespace, image] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);

// What an informer has told, and a promise of what it will tell.
class Told {
  events = [];
  waiting = [];
  tell(type, object) {
    this.events.push(`${type} ${object.metadata.name} ${object.data?.key ?? ''}`.trim());
    this.waiting = this.waiting.filter(({ event, resolve }) => !this.events.includes(event) || resolve());
  }
  until(event) {
    if (this.events.includes(event)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ event, resolve }));
  }
}

async function objects() {
  const body = { metadata: { name: 'first', labels: { by: 'node' } }, data: { key: 'one' } };
  const made = await core.createNamespacedConfigMap({ namespace, body });
  assert.equal(made.data.key, 'one');
  assert.ok(made.metadata.creationTimestamp instanceof Date);
  await assert.rejects(core.createNamespacedConfigMap({ namespace, body }), (error) => error.code === 409);
  const missing = core.readNamespacedConfigMap({ namespace, name: 'none' });
  await assert.rejects(missing, (error) => error.code === 404);
}

async function informs() {
  const labelSelector = 'by=node';
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector });
  const informer = k8s.makeInformer(config, path, list, labelSelector);
  const told = new Told();
  for (const type of ['add', 'update', 'delete']) informer.on(type, (object) => told.tell(type, object));
  let stopping = false;
  informer.on('error', (error) => {
    // Its own stop ends the watch, which it tells as an error.
    if (stopping) return;
    console.error('the informer failed', error);
    process.exit(1);
  });
  await informer.start();
  await told.until('add first one');
  await core.createNamespacedConfigMap({
    namespace,
    body: { metadata: { name: 'second', labels: { by: 'node' } }, data: { key: 'two' } },
  });
  await told.until('add second two');
  const objectsApi = k8s.KubernetesObjectApi.makeApiClient(config);
  await objectsApi.patch({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'second', namespace },
    data: { key: 'three' },
  });
  await told.until('update second three');
  assert.equal(informer.get('second', namespace).data.key, 'three');
  await core.deleteNamespacedConfigMap({ namespace, name: 'second' });
  await told.until('delete second three');
  assert.deepEqual(
    informer.list(namespace).map((object) => object.metadata.name),
    ['first'],
  );
  stopping = true;
  await informer.stop();
  assert.deepEqual(told.events, ['add first one', 'add second two', 'update second three', 'delete second three']);
}

async function commands() {
  await core.createNamespacedPod({
    namespace,
    body: {
      metadata: { name: 'shell' },
      spec: { containers: [{ name: 'main', image, command: ['sleep', '100000'] }], terminationGracePeriodSeconds: 0 },
    },
  });
  const path = `/api/v1/namespaces/${namespace}/pods`;
  await new Promise((resolve, reject) => {
    const seen = (_, pod) => {
      if (pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) resolve();
    };
    new k8s.Watch(config).watch(path, { fieldSelector: 'metadata.name=shell' }, seen, reject).catch(reject);
  });
  const stdout = new PassThrough();
  let printed = '';
  stdout.on('data', (piece) => (printed += piece));
  const status = await new Promise((resolve, reject) => {
    const command = ['sh', '-c', 'echo hello; exit 7'];
    const exec = new k8s.Exec(config);
    exec.exec(namespace, 'shell', 'main', command, stdout, null, null, false, resolve).catch(reject);
  });
  assert.equal(printed, 'hello\n');
  assert.equal(status.reason, 'NonZeroExitCode');
  assert.equal(status.details.causes[0].message, '7');
}

await core.createNamespace({ body: { metadata: { name: namespace } } });
await new Promise((resolve, reject) => {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  const seen = (_, account) => account.metadata.name === 'default' && resolve();
  new k8s.Watch(config).watch(path, {}, seen, reject).catch(reject);
});
for (const part of [objects, informs, commands]) {
  console.log(part.name);
  await part();
}
await core.deleteNamespace({ name: namespace });
console.log('all done');
// Watches that are still open would keep it alive.
process.exit(0);
