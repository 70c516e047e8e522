//! Imports: whole or not at all, once, with any number of importers and any size.

use planlease::{Error, Imported};
use planlease_core::{
    codec,
    keys::PlanKey,
    record::{Guard, Role, TaskRecord, Writer},
    spec::{PlanSpec, Source, TaskSpec},
};
use planlease_tests::{TestEnv, case};

use crate::helpers::{audit, id, plan, spec};

fn large() -> PlanSpec {
    let tasks = (0..3000).map(|n| TaskSpec::new(id(&format!("{}.{}", n / 100, n % 100)), "x".repeat(300)));
    PlanSpec { title: "large".into(), tasks: tasks.collect(), ..PlanSpec::default() }
}

#[case]
async fn a_plan_is_imported_once(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let source = Some(Source { path: "plan.md".into(), sha256: "ab".into(), location: None });
    let sourced = PlanSpec { source, ..spec() };
    let created = coordinator.admin().import(&plan(), &sourced, |_| {}).await.unwrap();
    assert!(matches!(created, Imported::Created(_)));
    assert_eq!(coordinator.admin().import(&plan(), &sourced, |_| {}).await.unwrap(), Imported::Unchanged);
    let other = coordinator.admin().import(&plan(), &spec(), |_| {}).await;
    assert!(matches!(other, Err(Error::PlanExists(_))), "{other:?}");
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!((view.spec().title.as_str(), view.tasks().len()), ("three tasks", 3));
    audit(&env).await;
}

#[case]
async fn an_unsound_plan_changes_nothing(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let mut unsound = spec();
    unsound.tasks[0].depends_on.push(id("3"));
    let refused = coordinator.admin().import(&plan(), &unsound, |_| {}).await;
    assert!(matches!(refused, Err(Error::Unsound(_))), "{refused:?}");
    assert!(coordinator.plans().await.unwrap().is_empty());
}

#[case]
async fn a_large_plan_appears_whole(env: TestEnv) {
    let importer = env.coordinator().await;
    let reader = env.coordinator().await;
    let (name, spec) = (plan(), large());
    let last = std::cell::Cell::new(0);
    let import = async { importer.admin().import(&name, &spec, |written| last.set(written)).await.unwrap() };
    tokio::pin!(import);
    loop {
        tokio::select! {
            biased; // The end of the import before another look.
            _ = &mut import => break,
            seen = reader.plan(&name) => match seen {
                Err(Error::PlanNotFound(_)) => {}
                Ok(view) => assert_eq!(view.tasks().len(), 3000, "half a plan"),
                Err(error) => panic!("{error}"),
            },
        }
    }
    assert_eq!(last.get(), 3000);
    let view = reader.plan(&plan()).await.unwrap();
    assert_eq!((view.tasks().len(), view.spec().tasks.len()), (3000, 3000));
    assert_eq!(reader.plans().await.unwrap()[0].tasks().len(), 3000);
    reader.admin().delete(&plan()).await.unwrap();
    audit(&env).await;
}

#[case]
async fn many_importers_at_once_make_one_plan(env: TestEnv) {
    for (round, spec) in [spec(), large()].into_iter().enumerate() {
        let name = planlease_core::PlanName::new(format!("p{round}")).unwrap();
        let mut importers = Vec::new();
        for _ in 0..6 {
            importers.push(env.coordinator().await);
        }
        let imports = importers.iter().map(|importer| importer.admin().import(&name, &spec, |_| {}));
        let imports = futures_util::future::join_all(imports).await;
        let made = imports.iter().filter(|import| matches!(import, Ok(Imported::Created(_)))).count();
        assert_eq!(made, 1, "{imports:?}");
        let refused = |import: &Result<Imported, Error>| {
            matches!(
                import,
                Err(Error::PlanExists(_) | Error::ImportUnderWay { .. }) | Ok(Imported::Created(_))
            )
        };
        assert!(imports.iter().all(refused), "{imports:?}");
    }
    audit(&env).await;
}

#[case]
async fn leftovers_of_a_dead_import_are_removed(mut env: TestEnv) {
    let coordinator = env.coordinator().await;
    let writer = Writer { who: "dead".into(), role: Role::Operator, term: None, guard: Guard::Import };
    let left = codec::encode(&TaskRecord::new(writer, uuid::Uuid::from_u128(1))).unwrap();
    let key = coordinator.layout().of(&plan(), &PlanKey::Task(id("99")));
    env.client.put(key, left, None).await.unwrap();
    assert!(matches!(coordinator.plan(&plan()).await, Err(Error::PlanNotFound(_))), "it is invisible");
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let view = imported_view(&env).await;
    assert_eq!(view.tasks().len(), 3, "and it is not part of the plan");
    audit(&env).await;
}

async fn imported_view(env: &TestEnv) -> planlease::PlanView {
    env.coordinator().await.plan(&plan()).await.unwrap()
}
