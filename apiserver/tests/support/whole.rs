//! A server with everything plugged in, after its bootstrap.

use std::net::IpAddr;

use apiserver::Config;
use apiserver::assembly::{self, Assembly};
use apiserver::runtime_config::RuntimeConfig;
use component::Tasks;
use env::Env;

use super::Cluster;

impl Cluster {
    /// As a real one, with these APIs.
    pub async fn whole(runtime_config: RuntimeConfig) -> Self {
        let (env, tasks) = (Env::simulated(1), Tasks::new("test"));
        let authority = pki::Authority::create("test", env.clock.now()).expect("ring signs");
        let features = apiserver::cli::features("").expect("nothing is asked for");
        let assembly = Assembly {
            config: Config { features, runtime_config, ..Config::default() },
            client_ca_pem: authority.certificate_pem().to_owned(),
            token_key: pki::TokenKey::generate().expect("ring makes keys"),
            issuer: assembly::ISSUER.to_owned(),
            audiences: vec![assembly::ISSUER.to_owned()],
            bootstrap: apiserver::bootstrap::Config {
                advertise_address: IpAddr::from([10, 0, 0, 1]),
                port: 6443,
                service_cidrs: vec!["10.96.0.0/16".to_owned()],
                kubernetes_ip: IpAddr::from([10, 96, 0, 1]),
                host_name: "testing".to_owned(),
                identity: "apiserver-testing".to_owned(),
                run_uid: env.rng.uuid(),
                client_ca_pem: authority.certificate_pem().to_owned(),
            },
            node_ports: apiserver::alloc::NODE_PORTS,
        };
        let server = assembly::start(assembly, env, store::memory(), tasks.clone())
            .await
            .expect("a server starts on an empty memory backend");
        Self { server, tasks }
    }
}
