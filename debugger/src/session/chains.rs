//! What hangs on the kernel's lists and trees: a head's type does not tell, so it stands here.

/// One head: the record it is a member of, or nothing for a variable of its own.
struct Chain {
    record: &'static str,
    member: &'static str,
    /// The entries' type.
    of: &'static str,
    /// The member that links them; empty for what points to them.
    by: &'static str,
}

const fn chain(
    record: &'static str,
    member: &'static str,
    of: &'static str,
    by: &'static str,
) -> Chain {
    Chain {
        record,
        member,
        of,
        by,
    }
}

/// Where a kernel has none of these, its debug information says so and the members stand alone.
const CHAINS: &[Chain] = &[
    chain("task_struct", "children", "task_struct", "sibling"),
    chain("signal_struct", "thread_head", "task_struct", "thread_node"),
    chain("css_set", "tasks", "task_struct", "cg_list"),
    chain("mm_struct", "mm_mt", "vm_area_struct", ""),
    chain("address_space", "i_pages", "page", ""),
    chain("idr", "idr_rt", "void", ""),
    chain("super_block", "s_inodes", "inode", "i_sb_list"),
    chain("super_block", "s_mounts", "mount", "mnt_instance"),
    chain(
        "file_system_type",
        "fs_supers",
        "super_block",
        "s_instances",
    ),
    chain("dentry", "d_subdirs", "dentry", "d_child"),
    chain("inode", "i_dentry", "dentry", "d_u.d_alias"),
    chain("mount", "mnt_mounts", "mount", "mnt_child"),
    chain("mnt_namespace", "list", "mount", "mnt_list"),
    chain("wait_queue_head", "head", "wait_queue_entry", "entry"),
    chain("swait_queue_head", "task_list", "swait_queue", "task_list"),
    chain("mutex", "wait_list", "mutex_waiter", "list"),
    chain("rw_semaphore", "wait_list", "rwsem_waiter", "list"),
    chain("semaphore", "wait_list", "semaphore_waiter", "list"),
    chain("sigpending", "list", "sigqueue", "list"),
    chain("cfs_rq", "tasks_timeline", "sched_entity", "run_node"),
    chain("rq", "cfs_tasks", "task_struct", "se.group_node"),
    chain("eventpoll", "rbr", "epitem", "rbn"),
    chain("eventpoll", "rdllist", "epitem", "rdllink"),
    chain("net", "dev_base_head", "net_device", "dev_list"),
    chain("worker_pool", "worklist", "work_struct", "entry"),
    chain("worker_pool", "idle_list", "worker", "entry"),
    chain("workqueue_struct", "pwqs", "pool_workqueue", "pwqs_node"),
    chain("timerqueue_head", "rb_root", "timerqueue_node", "node"),
    chain("", "modules", "module", "list"),
    chain("", "super_blocks", "super_block", "s_list"),
    chain("", "workqueues", "workqueue_struct", "list"),
    chain("", "vmap_area_list", "vmap_area", "list"),
    chain("", "net_namespace_list", "net", "list"),
    chain("", "slab_caches", "kmem_cache", "list"),
];

/// The call that gives the entries of a head: `$list(task->children, struct task_struct, sibling)`.
pub(super) fn call(type_name: &str, record: &str, member: &str, head: &str) -> Option<String> {
    let function = match type_name.strip_prefix("struct ").unwrap_or(type_name) {
        "list_head" => "list",
        "hlist_head" | "hlist_nulls_head" => "hlist",
        "rb_root" | "rb_root_cached" => "rbtree",
        "xarray" => "xarray",
        "maple_tree" => "maple",
        _ => return None,
    };
    let fits = |chain: &&Chain| chain.record == record && chain.member == member;
    let chain = CHAINS.iter().find(fits)?;
    let of = match chain.of {
        "void" => "void".to_owned(),
        of => format!("struct {of}"),
    };
    Some(match chain.by {
        "" => format!("${function}({head}, {of})"),
        by => format!("${function}({head}, {of}, {by})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_head_is_followed_and_no_other() {
        let check = |type_name, record, member, expected: Option<&str>| {
            assert_eq!(call(type_name, record, member, "p->x").as_deref(), expected);
        };
        check(
            "struct list_head",
            "task_struct",
            "children",
            Some("$list(p->x, struct task_struct, sibling)"),
        );
        check(
            "struct maple_tree",
            "mm_struct",
            "mm_mt",
            Some("$maple(p->x, struct vm_area_struct)"),
        );
        check("struct list_head", "task_struct", "sibling", None);
        check("int", "task_struct", "children", None);
    }
}
